package process

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ErrNoProc says that this system does not tell about processes.
var ErrNoProc = errors.New("this system has no /proc")

// Resident returns how much memory the process has now, in bytes.
func (p *Process) Resident() (int64, error) { return p.memory("VmRSS:") }

// MostResident returns the most memory that the process has had, in bytes.
func (p *Process) MostResident() (int64, error) { return p.memory("VmHWM:") }

func (p *Process) memory(name string) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
	if errors.Is(err, os.ErrNotExist) {
		return 0, ErrNoProc
	}
	if err != nil {
		return 0, err
	}
	_, line, _ := strings.Cut(string(status), name)
	line, _, _ = strings.Cut(line, " kB")
	kib, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	return kib << 10, err
}
