"""Packaging of Cofferdam: the one place that holds its metadata and dependencies."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

# Each group names why its members are here.
PIPELINE = [
    "apache-beam>=2.77,<3",  # the engine: the same pipelines on a laptop, Flink and Dataflow
    "pyarrow>=21,<26",  # columnar batches, kernels and Parquet (the upper cap is Beam's)
    "numpy>=1.26",  # vectorised checks on positions and digests
    "msgspec>=0.19",  # typed JSON decoding that cuts content out as raw bytes
    "zstandard>=0.22",  # bounded streaming decompression of input and compression before sealing
]
PRIVACY = [
    "cryptography>=48,<51",  # AES-GCM, HPKE, Ed25519 (the upper cap is Beam's)
    "joserfc>=1.6",  # compact JWS for consent records
    "great-expectations>=1.18.1,<2",  # the expectation suites that gate a release
]
CONTRACTS = [
    "open-data-contract-standard>=3.1",  # reads and checks ODCS contracts
    "pyyaml>=6",  # YAML with line numbers for the linters
]
PEOPLE = [
    "click>=8.1",  # command line
    "rich>=13",  # tables and progress on a terminal
]
REPORT = [
    "jinja2>=3.1",  # the report's page, with every value escaped
    "matplotlib>=3.9",  # its charts as inline SVG; no browser and no JavaScript, unlike the alternatives
]
EXTRAS = {
    "dev": [
        "pytest>=8",
        "pytest-cov>=5",  # branch coverage
        "pytest-xdist>=3.6",  # both cores for the test suite
        "hypothesis>=6.100",  # laws as property-based tests
        "ruff>=0.9",
        "mypy>=1.13",
        "types-PyYAML",
        "duckdb>=1.2",  # a second reader of what was written, and the benchmark's yardstick
        "psutil>=6",  # memory of the benchmark's processes
        "sqlglot>=26",  # reads the statements that are printed for BigQuery, in its dialect
        "jsonschema>=4.23",  # checks published JSON Schemas against what is written
        "playwright>=1.50",  # the report in a real browser; the browser itself is the system's
        "axe-playwright-python>=0.1.5",  # axe-core, which checks whether everybody can read it
    ],
    "gcp": [
        "apache-beam[gcp]>=2.77,<3",  # Dataflow, and the clients of Cloud Storage and BigQuery
    ],
    "kms": [
        "google-cloud-kms>=3.18,<4",  # vault keys whose private half stays in Cloud KMS
    ],
}

setup(
    name="cofferdam",
    version="0.1.0",
    description="Keeps service telemetry and customer content apart, and content sealed until consent releases it.",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(
        include=[
            f"{name}{rest}"
            for name in ("pipelines", "schemas", "transforms", "validation")
            for rest in ("", ".*")
        ]
    ),
    package_data={
        "pipelines": ["py.typed", "fixtures/*", "report_templates/*"],
        "schemas": ["py.typed", "contracts/*.yaml", "consent/*"],
        "transforms": ["py.typed"],
        "validation": ["py.typed", "policies/*"],
    },
    install_requires=PIPELINE + PRIVACY + CONTRACTS + PEOPLE + REPORT,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["cofferdam=pipelines.cli:main"]},
)
