"""The contracts of other packages over this one: change an import, and the rest of a project stays as it is."""
