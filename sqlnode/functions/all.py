"""Import this module to fill the registry: it imports every table of the package.

The tables are independent of each other; importing one registers its entries, once.
"""

import importlib
import pkgutil
from pathlib import Path

for _module in pkgutil.iter_modules([str(Path(__file__).parent)]):
    if _module.name not in ("all", "registry", "define"):
        importlib.import_module(f"sqlnode.functions.{_module.name}")
