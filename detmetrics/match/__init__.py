"""Which detection takes which target: COCO's and VOC's rules over the overlaps of evaluation data."""
