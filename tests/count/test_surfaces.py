"""Surfaces and their distances against surface-distance and MedPy."""

import importlib

import numpy as np
import pytest
import torch

from detmetrics.count.surface_areas import area_table
from detmetrics.count.surfaces import bounding_box, surface_distances
from tests.segmentation.oracles import deepmind, medpy, random_masks

TOLERANCE = 1e-12


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.5, 2.0, 3.0), (1.3, 0.7, 0.9)])
def test_areas_are_those_of_the_package(spacing: tuple[float, ...]) -> None:
    deepmind()
    tables = importlib.import_module("surface_distance.lookup_tables")
    areas = tables.create_table_neighbour_code_to_surface_area(spacing)
    lengths = tables.create_table_neighbour_code_to_contour_length(spacing[:2])
    assert np.abs(np.array(area_table(spacing)) - areas).max() < TOLERANCE
    assert np.abs(np.array(area_table(spacing[:2])) - lengths).max() < TOLERANCE


@pytest.mark.parametrize("seed", range(30))
def test_distances_are_those_of_the_packages(seed: int) -> None:
    preds, target, spacing = random_masks(seed)
    if not preds.any() or not target.any():
        return
    masks = torch.tensor(preds), torch.tensor(target)
    found = surface_distances(*masks, spacing, with_areas=True)
    expected = deepmind().compute_surface_distances(target, preds, spacing)
    for distances, name in ((found.preds, "distances_pred_to_gt"), (found.target, "distances_gt_to_pred")):
        assert np.abs(distances.sort().values.numpy() - expected[name]).max() < TOLERANCE
    for areas, name in ((found.preds_areas, "surfel_areas_pred"), (found.target_areas, "surfel_areas_gt")):
        assert np.abs(areas.sort().values.numpy() - np.sort(expected[name])).max() < TOLERANCE
    found = surface_distances(*masks, spacing)
    between = vars(medpy())["__surface_distances"]
    assert np.abs(found.preds.sort().values.numpy() - np.sort(between(preds, target, spacing))).max() < TOLERANCE
    assert np.abs(found.target.sort().values.numpy() - np.sort(between(target, preds, spacing))).max() < TOLERANCE
    assert bool((found.preds_areas == 1).all())


def test_boxes() -> None:
    mask = torch.zeros(5, 6, dtype=torch.bool)
    mask[1, 2] = mask[3, 5] = True
    assert bounding_box(mask) == (slice(1, 4), slice(2, 6))
    assert bounding_box(torch.ones(1, dtype=torch.bool)) == (slice(0, 1),)
