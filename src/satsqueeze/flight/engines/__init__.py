"""What runs a graph: one protocol for ONNX Runtime and OpenVINO, whole inputs or rows."""
