"""The document: a graph and all that is known of it, as plain data that goes to JSON and back."""

from graphnn.render.document.records import VERSION, Document
from graphnn.render.document.whole import document_of, to_json

__all__ = ["VERSION", "Document", "document_of", "to_json"]
