"""The page in which backprop is stepped through: one HTML file, without any network."""

from graphnn.render.page.file import write_page
from graphnn.render.page.page import page_of

__all__ = ["page_of", "write_page"]
