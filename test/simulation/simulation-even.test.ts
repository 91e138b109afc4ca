import { worldsSuite } from './worlds.suite.js'

worldsSuite('even')
