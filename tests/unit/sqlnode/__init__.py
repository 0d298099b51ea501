"""Tests; packages, so that they can share fakes and builders."""
