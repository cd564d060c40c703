r"""The command `detmetrics`: numbers for files, for generated data, or from saved states.

# Evaluating detections

```sh
detmetrics demo --images 5 --save .
detmetrics evaluate annotations.json results.json --per-class --json numbers.json
```

The first line writes a generated pair of files in COCO's format, the second prints the twelve lines that pycocotools
prints, the results of each class, and writes all numbers as JSON. `--iou-type segm` or `boundary` compares masks. At a
terminal the numbers are tables; through a pipe they are pycocotools' lines.

```sh
detmetrics evaluate annotations.json results.json --html report.html
```

writes one page that needs no network: COCO's table, the best score thresholds, curves, a table of the classes to sort,
the confusion matrix and the worst images. With `--images DIR` it shows these images, and on them what was missed and
what is wrong. It needs the extra `html`; from Python it is `detmetrics.page.render`.

# Evaluating folders of label maps

```sh
detmetrics demo --task segmentation --save street
detmetrics segmentation street/gt street/pred --class-names street/classes.txt --ignore-index 255 --html street.html
```

```text
                    iou        f1 precision    recall   support

        mean     0.7196    0.8365    0.8279    0.8468    602247
weighted iou     0.7410                                  602247
    accuracy                                   0.8505    602247
```

Files are PNG, TIFF, NPY, NPZ or, with the extra `medical`, NIfTI. They are paired by their paths within the folders, or
with `--pair-by name` by their names alone; `--gt-suffix` and `--pred-suffix` say what names end in behind what they
share. A file without a partner is an error. `--workers` processes read and count. `--per-class` prints the classes,
`--surface` adds distances of surfaces, in the unit of `--spacing` or of NIfTI's headers.

`--ignore-index` takes pixels out. `--reduce-zero-label`, then `--label-map 7:0 8:1 0:void`, change the labels in files
into those of classes; `void` pixels of a target are ignored, those of a prediction are wrong. `--protocol` says whose
numbers are wanted, and sets what is not given:

| protocol | it sets | its number |
| --- | --- | --- |
| `cityscapes` | 19 classes from label ids, others void; files as the data set names them | `mean_iou` |
| `voc` | 21 classes, 255 is ignored | `mean_iou` |
| `ade20k` | 150 classes that count from 1 in both folders; a class without pixels has IoU 0 | `mean_iou` |
| `mmseg` | 255 is ignored | `mean_iou`, `mean_recall` (mAcc), `mean_f1` (mDice) |
| `nnunet` | the mean over images, then over classes but 0 | `mean_f1` |
| `monai` | the mean over the classes but 0 that an image has, then over images | `mean_f1` |
| `smp` | the mean over images and classes, 0/0 is 1 (`macro-imagewise`) | `mean_iou` |

The page has the confusion matrix, the classes, and target, prediction and errors of the worst images side by side.

# Evaluating panoptic segmentations

`detmetrics panoptic GT.json PRED.json` prints PQ, SQ and RQ of COCO's panoptic format; the PNG files are in folders of
the same names, or in `--gt-folder` and `--pred-folder`. `--boundary` asks for Boundary PQ.

# Which is better

```sh
detmetrics evaluate annotations.json results.json --intervals 100
```

adds intervals from bootstrap samples of the images. Two files of results, here the same one twice, or two saved states
are compared by differences with intervals and p values; see `detmetrics.analysis`:

```sh
detmetrics compare results.json results.json --targets annotations.json --samples 100
```

```text
                  first    second difference       low      high         p

         map      0.741     0.741     0.000     0.000     0.000     1.000
      map_50      0.929     0.929     0.000     0.000     0.000     1.000
      map_75      0.752     0.752     0.000     0.000     0.000     1.000
   map_small      0.758     0.758     0.000     0.000     0.000     1.000
  map_medium      0.850     0.850     0.000     0.000     0.000     1.000
   map_large      0.500     0.500     0.000     0.000     0.000     1.000
       mar_1      0.671     0.671     0.000     0.000     0.000     1.000
      mar_10      0.764     0.764     0.000     0.000     0.000     1.000
     mar_100      0.764     0.764     0.000     0.000     0.000     1.000
   mar_small      0.780     0.780     0.000     0.000     0.000     1.000
  mar_medium      0.850     0.850     0.000     0.000     0.000     1.000
   mar_large      0.500     0.500     0.000     0.000     0.000     1.000
```

# Several processes, several machines

```sh
torchrun --standalone --nproc-per-node 2 -m detmetrics evaluate annotations.json results.json
```

divides the images among the processes. Machines that never meet save what they have, and one that gets the files adds
them up, to the same bits:

```sh
detmetrics evaluate annotations.json results.json --shard 0/2 --save-state 0.pt
detmetrics evaluate annotations.json results.json --shard 1/2 --save-state 1.pt
detmetrics merge 0.pt 1.pt
```

`segmentation` and `panoptic` take these options too, and `merge` their states. For those of detections it takes
`--iou-thresholds` and `--max-detections`, to ask them something new.

# Exit codes

0 after success, 1 after a failure, with one line on stderr, 2 for wrong arguments, 130 when interrupted, 141 when the
reader of the output has gone.
"""

# This module and the parser of arguments import no torch, so that help and wrong arguments are answered at once.

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from detmetrics.cli.arguments import parse
from detmetrics.cli.output import check_outputs, tell, told_warnings
from detmetrics.cli.ranks import on_all_ranks, problem, process_group


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: The arguments; None for those of the process.

    Returns:
        The exit code: 0 done, 1 failed with one line on stderr, 130 interrupted, 141 if the reader of stdout has gone.
        Wrong arguments exit with 2.
    """
    arguments = parse(argv)
    try:
        with told_warnings(), process_group(arguments.device):
            on_all_ranks(lambda: check_outputs(arguments))
            _run(arguments)
        print(end="", flush=True)
    except KeyboardInterrupt:
        tell("interrupted")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it exits
        return 141
    except Exception as error:
        message = problem(error)
        if message is None:
            raise
        tell(f"error: {message}")
        return 1
    return 0


def _run(arguments: argparse.Namespace) -> None:
    importlib.import_module(f"detmetrics.cli.{arguments.command}").run(arguments)
