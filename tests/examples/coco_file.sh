# A file of annotations and one of results in COCO's format, on the command line: numbers, a page, and numbers as JSON.
set -e
detmetrics demo --images 20 --save .
detmetrics evaluate annotations.json results.json --per-class --json numbers.json --html report.html
