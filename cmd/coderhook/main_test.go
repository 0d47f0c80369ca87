package main

import (
	"testing"

	"coderhook/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }
