"""Server-rendered pages and vendored assets; nothing is loaded from elsewhere."""

from app.web.pages import install

__all__ = ["install"]
