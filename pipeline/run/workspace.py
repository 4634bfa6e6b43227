"""Where every stage reads and writes, relative to one root folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """The folders of one run: the project itself, or for `pipeline.ablation` a folder for each row and seed."""

    root: Path = Path(".")

    def index(self, domain: str) -> Path:
        return self.root / "data" / "index" / f"{domain}.jsonl"

    def checkpoints(self, method: str) -> Path:
        return self.root / "checkpoints" / method

    def weights(self, method: str) -> Path:
        return self.root / "weights" / method / "student.safetensors"

    def teacher_weights(self, method: str) -> Path:
        return self.root / "weights" / method / "teacher.safetensors"

    def shipped(self, method: str, ship: str) -> Path:
        """The weights of the network that is scored, exported and shown: `ship` of the params."""
        return self.teacher_weights(method) if ship == "teacher" else self.weights(method)

    def dvclive(self, method: str) -> Path:
        return self.root / "dvclive" / method

    def preflight(self, method: str) -> Path:
        return self.root / "preflight" / method

    def metrics(self, method: str) -> Path:
        return self.root / "metrics" / f"{method}.json"

    def plots(self, method: str) -> Path:
        return self.root / "metrics" / method

    def confusion(self, method: str) -> Path:
        return self.root / "evaluation" / f"{method}.npz"

    def pictures(self, method: str) -> Path:
        return self.root / "evaluation" / method

    def onnx(self, method: str) -> Path:
        return self.root / "models" / f"{method}.onnx"

    def manifest(self, method: str) -> Path:
        return self.root / "models" / f"{method}.json"

    def variant(self, method: str, variant: str) -> Path:
        """`variant`: int8, fp16 or fixed; its manifest has the suffix .json."""
        return self.root / "models" / f"{method}.{variant}.onnx"

    def variants(self, method: str) -> Path:
        return self.root / "metrics" / f"variants_{method}.json"

    def latency(self, method: str) -> Path:
        return self.root / "metrics" / f"latency_{method}.json"

    def submission(self, method: str, data_set: str) -> Path:
        return self.root / "submission" / f"{method}_{data_set}.zip"

    def lock(self, work: str) -> Path:
        """`work`: a stage and its method, such as "train mic"."""
        return self.root / ".locks" / f"{work.replace(' ', '_')}.lock"

    def data_sheet(self, domain: str) -> Path:
        return self.root / "metrics" / f"data_{domain}.png"

    @property
    def data_report(self) -> Path:
        return self.root / "metrics" / "data.json"

    @property
    def compare(self) -> Path:
        return self.root / "metrics" / "compare.json"

    @property
    def summary(self) -> Path:
        return self.root / "metrics" / "summary.json"

    @property
    def bench(self) -> Path:
        return self.root / "metrics" / "bench.json"

    @property
    def models(self) -> Path:
        return self.root / "metrics" / "models.json"

    @property
    def stress(self) -> Path:
        return self.root / "metrics" / "stress.json"

    @property
    def install(self) -> Path:
        return self.root / "metrics" / "install.json"

    @property
    def report_dir(self) -> Path:
        return self.root / "report"
