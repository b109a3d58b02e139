"""The cos command: starts, drives and shows the stack, over the services' own interfaces."""
