"""Uploaded pictures: conversion, files, and the count of their uses."""
