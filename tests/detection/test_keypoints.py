"""Object keypoint similarity: equal to pycocotools, whatever the number of keypoints."""

import pytest

from detmetrics.functional import mean_average_precision
from tests import keypoint_problems, oracle
from tests.keypoint_problems import SIGMAS, keypoint_problem
from tests.problems import Problem

SAMPLE = 120
ALL = 1000


def agrees(problem: Problem) -> None:
    result = mean_average_precision(problem.preds, problem.target, extended_summary=True, **problem.settings)
    oracle.assert_agrees(result, keypoint_problems.evaluate(problem.preds, problem.target, **problem.settings))


@pytest.mark.parametrize("num", SIGMAS)
def test_random_problems_agree_with_pycocotools(num: int) -> None:
    for seed in range(SAMPLE // len(SIGMAS)):
        agrees(keypoint_problem(seed, num=num))


@pytest.mark.slow
@pytest.mark.parametrize("num", SIGMAS)
def test_many_random_problems_agree_with_pycocotools(num: int) -> None:
    for seed in range(SAMPLE, SAMPLE + ALL // len(SIGMAS)):
        agrees(keypoint_problem(seed, num=num))
