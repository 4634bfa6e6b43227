"""params.yaml as frozen models: every field with its unit and meaning, a file for each block."""

from pipeline.params.load import checked, fingerprint, load_params
from pipeline.params.network import Hrda, Network
from pipeline.params.whole import METHODS, Distil, Method, Params

__all__ = [
    "METHODS",
    "Distil",
    "Hrda",
    "Method",
    "Network",
    "Params",
    "checked",
    "fingerprint",
    "load_params",
]
