"""The steps of the pipelines, each a plain function on batches behind a thin PTransform."""
