"""From the trained network to the ONNX file and its variants, each proven equal."""
