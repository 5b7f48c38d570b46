"""Answers to the exercises, written as readers would write them: a module for each chapter.

``RIGHT`` holds answers that are right, several to an exercise, and ``WRONG`` typical wrong ones,
each with a word of the misconception that has to be named. ``GIVEN_AWAY`` is a pattern of what no
sentence of a check may contain, since it is the answer.
"""
