#!/usr/bin/env node
// Not built, so that npm can link the command in a fresh clone, before there is a dist.
// biome-ignore lint/style/noRestrictedImports: this package's own build
import '../dist/shardwise.js'
