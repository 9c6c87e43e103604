"""The leakage sentinel: does a risk depend on what was not known when it was due?"""
