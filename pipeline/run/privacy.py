"""No library phones home: each reads its switch when it is imported, which is after this package."""

from __future__ import annotations

import os

SWITCHES = {
    "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime from 1.29 on: events, a device id and a queue in ~/.cache
    "GRADIO_ANALYTICS_ENABLED": "False",  # and its check for a newer version
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "DVC_NO_ANALYTICS": "1",
}


def keep_private() -> None:
    """Turn off what nobody asked for, for this process and those it starts; what is set stays as it is."""
    for name, value in SWITCHES.items():
        if not os.environ.get(name):
            os.environ[name] = value
