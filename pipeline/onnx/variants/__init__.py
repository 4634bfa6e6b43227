"""The variants of an exported .onnx file: int8, fp16 and fixed size, with what they cost and what they gain."""
