"""priorbench: which attribution prior is worth training with?

The public names stand in ``__init__.pyi`` and are imported on first use, so that
``priorbench list`` needs no torch.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
