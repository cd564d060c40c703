"""Panoptic quality of published data: the recorded numbers of deeplab2, and the sample of panopticapi."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from detmetrics import PanopticQuality


def grey(path: Path) -> Tensor:
    from PIL import Image

    return torch.from_numpy(np.array(Image.open(path).convert("RGB"))[..., 0].astype(np.int64))


def deeplab2(root: Path, name: str, meta: Any) -> tuple[Tensor, Tensor]:
    """Category and instance maps (1, H, W, 2)."""
    from PIL import Image

    folder = root / "deeplab2_pq" / "testdata"
    gt = f"{name}_gt_instance.png" if name == "team" else f"{name}_gt.png"
    instance = grey(folder / gt)
    category = torch.zeros_like(instance)
    for value, label in meta["gt_instance_to_class"][gt].items():
        category[instance == int(value)] = label
    colours = torch.from_numpy(np.array(Image.open(folder / f"{name}_pred_class.png").convert("RGB")).astype(np.int64))
    predicted = torch.zeros_like(instance)
    for colour, label in meta["class_colours_rgb"].items():
        predicted[(colours == torch.tensor([int(x) for x in colour.split(",")])).all(-1)] = label
    preds = torch.stack([predicted, grey(folder / f"{name}_pred_instance.png")], dim=-1)
    return preds[None], torch.stack([category, instance], dim=-1)[None]


def test_deeplab2_s_recorded_numbers(data_root: Path) -> None:
    meta = json.loads((data_root / "deeplab2_pq" / "META.json").read_text())
    metric = PanopticQuality(range(1, 7), [], allow_unknown_preds_category=True)  # class 0 is ignored
    for names, key in ((["team"], "team PQ,SQ,RQ,TP,FN,FP"), (["bird", "cat"], "bird+cat+team")):
        for name in names:
            metric.update(*deeplab2(data_root, name, meta))
        result, by_class = metric.compute(), metric.per_class()
        present = 2 if key.startswith("team") else 6
        recorded = meta["recorded"][key]
        means = [by_class[count].sum().item() / present for count in ("tp", "fn", "fp")]
        found = [*(result[name].item() for name in ("pq", "sq", "rq")), *means]
        assert found == pytest.approx(recorded, abs=1e-7)


def test_panopticapi_s_sample_against_itself(data_root: Path) -> None:
    from PIL import Image

    root = data_root / "panopticapi_sample"
    document = json.loads((root / "panoptic_examples.json").read_text())
    categories = json.loads((root / "panoptic_coco_categories.json").read_text())
    things = [c["id"] for c in categories if c["isthing"]]
    stuffs = [c["id"] for c in categories if not c["isthing"]]
    metric = PanopticQuality(things, stuffs, class_names={c["id"]: c["name"] for c in categories})
    maps, infos = [], []
    for annotation in document["annotations"]:
        colours = np.array(Image.open(root / "panoptic_examples" / annotation["file_name"]), dtype=np.int64)
        maps.append(torch.from_numpy(colours @ np.array([1, 256, 65536])))
        infos.append(annotation["segments_info"])
    metric.update(maps, maps, infos, infos)
    result = metric.compute()
    assert all(result[name + group] == 1 for name in ("pq", "sq", "rq") for group in ("", "_things", "_stuffs"))
    assert result["pq/person"] == 1
    crowds = sum(segment["iscrowd"] for info in infos for segment in info)
    assert metric.per_image()["tp"].sum() == sum(map(len, infos)) - crowds
    assert metric.per_image()["fp"].sum() == 0
    # Without the crowds they are void: the predictions there are no false positives either.
    areas = {s["id"]: s["area"] for s in infos[0]}
    assert all(int((maps[0] == i).sum()) == area for i, area in areas.items())
