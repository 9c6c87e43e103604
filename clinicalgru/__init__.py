"""clinicalgru: risks from irregular, incomplete patient records.

Names load when they are used: `import clinicalgru` loads no torch, writes nothing and prints nothing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = "0.1.0"
