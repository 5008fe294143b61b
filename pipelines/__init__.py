"""Pipelines put together from steps, their options, and the command line."""
