"""The only home of SQL and of blobs.

`engine` opens the database, `models` describes it, `base.Store` runs named transactions over it, and
one module per noun holds small functions that take a transaction first. `planes` keeps bulk data:
each plane (encodings, facts, links) is opened with its own keyring and nothing else.
"""

from app.store.base import Store, Tx
from app.store.blobs import Blobs
from app.store.keystore import KeyStore
from app.store.planes import Plane

__all__ = ["Blobs", "KeyStore", "Plane", "Store", "Tx"]
