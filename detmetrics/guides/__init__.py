"""Guides for tasks that concern several packages; those of one package are its own docstring.

* `detmetrics.guides.choosing`: which metric do I want?
* `detmetrics.guides.training`: a plain loop, Lightning, torchrun, Hugging Face, and loggers.
* `detmetrics.guides.differences`: why is my number different from theirs?
"""
