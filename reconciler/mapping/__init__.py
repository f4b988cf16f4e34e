"""The file that says which table, columns and properties are kept equal: read whole, or refused whole."""
