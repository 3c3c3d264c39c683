"""Kinds of commands, one class each: the fields a sender gives, the plan that follows, and how a plan is carried out.

A new kind is a file here and a line in `stream.review.commands.COMMANDS`.
"""
