"""Tests of pgwire, one module each."""
