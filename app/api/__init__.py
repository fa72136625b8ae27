"""HTTP only: requests in, flows called, documents out."""
