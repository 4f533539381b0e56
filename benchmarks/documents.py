"""The generated parts of docs/performance.md and docs/scale.md, as JSON."""

from __future__ import annotations

import json

from benchmarks import figures, scale, tables

if __name__ == "__main__":
    print(json.dumps(tables.parts(figures.read(tables.KEPT)) | scale.parts()))
