package serve

import (
	"testing"

	"coderhook/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }
