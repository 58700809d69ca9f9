"""Versions of everything that the package runs on, for bug reports."""

import platform
from importlib.metadata import PackageNotFoundError, version

from sknnens._version import __version__

PACKAGES = (
    *("numpy", "scipy", "scikit-learn", "joblib", "narwhals", "torch"),
    *("safetensors", "tqdm", "matplotlib", "pandas", "polars", "pyarrow", "dask"),
)


def show_versions() -> None:
    """Print the versions of Python, the system, the package and its dependencies.

    The last line has the devices that torch finds. Include the output in bug reports.

    Examples
    --------
    >>> import sknnens
    >>> sknnens.show_versions()  # doctest: +ELLIPSIS
    sknnens: ...
    """
    print(f"sknnens: {__version__}")
    print(f"python: {platform.python_version()}")
    print(f"system: {platform.platform()}")
    for name in PACKAGES:
        try:
            print(f"{name}: {version(name)}")
        except PackageNotFoundError:
            print(f"{name}: not installed")
    try:
        from sknnens._engine import describe_devices  # imports torch

        print(f"devices: {describe_devices()}")
    except (ImportError, OSError) as error:
        print(f"devices: torch cannot be imported: {error}")
