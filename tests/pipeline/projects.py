"""Projects to prepare: a folder with params.yaml and small data sets of either domain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from pipeline import prepare
from pipeline.data.index import Record, read_index
from pipeline.params import Params
from pipeline.run.workspace import Workspace

HEIGHT, WIDTH = 32, 48
OUTPUTS = ("data/index/source.jsonl", "data/index/target.jsonl", "metrics/data.json")
SHEETS = ("metrics/data_source.png", "metrics/data_target.png")

Block = dict[str, Any]


def params_for(source: Block, target: Block | list[Block]) -> Params:
    """Params of two domains and the least of everything else."""
    return Params.model_validate(
        {
            "data": {"source": source, "target": target, "size": [48, 64]},
            "network": {"architecture": "fpn", "encoder": "none"},
            "train": {"steps": 1, "batch_size": 1, "crop": [32, 32], "optimiser": {"lr": 1.0}},
        }
    )


def prepared(source: Block, target: Block | list[Block]) -> tuple[list[Record], list[Record], Block]:
    """The records of both domains and the report, after `prepare` in the current folder."""
    report = prepare.run(params_for(source, target), Workspace())
    return read_index(Workspace().index("source")), read_index(Workspace().index("target")), report


class Project:
    """A folder with params.yaml, a `folders` source in day/ and an unlabelled `folders` target in night/."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rng = np.random.default_rng(0)
        for split, count in (("train", 4), ("val", 2)):
            for i in range(count):
                self.picture(f"day/{split}/{split}_{i}.jpg")
                self.label(f"day/{split}_labels/{split}_{i}.png")
        for i in range(3):
            self.picture(f"night/pictures/n{i}.png", brightest=60)
        self.source: Block = {
            "format": "folders",
            "root": "day",
            "train": {"images": "train", "labels": "train_labels"},
            "val": {"images": "val", "labels": "val_labels"},
            "id_map": {0: "road", 1: "car", 2: "sky", 9: "ignore"},
        }
        self.target: Block = {
            "format": "folders",
            "root": "night",
            "condition": "night",
            "train": {"images": "pictures"},
        }
        self.write()

    def write(self) -> None:
        content = {
            "data": {"source": self.source, "target": self.target, "size": [HEIGHT, WIDTH]},
            "network": {"architecture": "fpn", "encoder": "none"},
            "train": {"steps": 1, "batch_size": 1, "crop": [32, 32], "optimiser": {"lr": 1.0}},
        }
        (self.root / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")

    def picture(self, name: str, brightest: int = 255) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(self.rng.integers(0, brightest, (HEIGHT, WIDTH, 3), np.uint8)).save(path)
        return path

    def label(
        self, name: str, size: tuple[int, int] = (HEIGHT, WIDTH), ids: tuple[int, ...] = (0, 1, 2, 9)
    ) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(self.rng.choice(np.array(ids, np.uint8), size)).save(path)
        return path

    def leftovers(self) -> list[str]:
        """Every file that prepare wrote, hidden and temporary ones included."""
        folders = [self.root / "data", self.root / "metrics"]
        return [p.name for folder in folders for p in folder.rglob("*") if p.is_file()]
