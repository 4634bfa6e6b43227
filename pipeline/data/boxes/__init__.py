"""Pictures with boxes: the data sets on disk, their checks, the index and the training batches."""
