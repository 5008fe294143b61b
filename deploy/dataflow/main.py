"""What the template's launcher starts, in the place of the image's entry point."""

import os

from entrypoint import ensure_keys

from pipelines.dataflow_template import main

ensure_keys()
main(os.environ["COFFERDAM_SIDE"])
