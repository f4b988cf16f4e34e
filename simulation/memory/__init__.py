"""The store's ports in memory: the rules of schema.sql and of the statements in Python, one call one transaction.

The same contract tests hold them and the real adapters together.
"""
