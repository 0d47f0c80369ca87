package gateway

import "encoding/binary"

// frames knows where in a stream of WebSocket frames it is (RFC 6455, section 5.2). It looks at no payload.
type frames struct {
	head   [14]byte
	have   int    // of head
	left   uint64 // of the payload
	closed bool   // a close frame has begun
}

const (
	opClose   = 0x8
	finalBit  = 0x80
	maskBit   = 0x80
	maxReason = 123 // bytes of a close frame's reason
)

// atBoundary reports whether a frame may begin here.
func (f *frames) atBoundary() bool { return f.have == 0 && f.left == 0 }

// advance goes on in p, up to the end of the frame at most, and says how far it came.
func (f *frames) advance(p []byte) (n int) {
	for n < len(p) {
		if f.left > 0 {
			step := min(f.left, uint64(len(p)-n))
			f.left -= step
			n += int(step)
		} else {
			f.head[f.have] = p[n]
			f.have++
			n++
			if !f.readHead() {
				continue
			}
		}
		if f.left == 0 {
			return n
		}
	}
	return n
}

// readHead reports whether the header is whole, and takes the payload's length from it.
func (f *frames) readHead() bool {
	if f.have < 2 {
		return false
	}
	size, length := 2, uint64(f.head[1]&^maskBit)
	switch length {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	extended := size
	if f.head[1]&maskBit != 0 {
		size += 4
	}
	if f.have < size {
		return false
	}
	switch extended {
	case 4:
		length = uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 10:
		length = binary.BigEndian.Uint64(f.head[2:])
	}
	f.closed = f.closed || f.head[0]&0x0f == opClose
	f.have, f.left = 0, length
	return true
}

// closeFrame is a whole one, as servers send it.
func closeFrame(why ending) []byte {
	reason := why.reason[:min(len(why.reason), maxReason)]
	frame := []byte{finalBit | opClose, byte(2 + len(reason))}
	frame = binary.BigEndian.AppendUint16(frame, why.code)
	return append(frame, reason...)
}
