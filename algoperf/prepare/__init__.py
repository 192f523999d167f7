"""Turns raw files into what a workload reads; knows no data set.

`plan` has the words (what a data set needs), `run` does the work, `manifest` remembers
what is done, `verify` reads it all again.
"""
