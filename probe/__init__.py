"""The security tester's bench: attacks on a running stack, each with the check that must refuse it.

The only room that holds attack code. No honest room imports it (an import contract holds that).
"""
