package claims

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// Reader goes through JSON once, from front to back: an event is not read again for each part of it that counts.
// It is as lenient as [Unmarshal]. After its first fault it reads nothing more, and [Reader.Close] tells.
type Reader struct {
	Name  []byte // of the member that [Reader.Next] has come to; good until the next call
	Wrong bool   // a value was of another type than it was asked for as

	text    []byte
	decoder jsontext.Decoder
	buffer  bytes.Buffer // of text, as the decoder wants it
	start   int          // of the name
	base    int          // from where offsets count
	scratch []byte
	kept    strings.Builder // all strings that were read: one piece of memory, not one each
	err     error
}

// usualStrings has room for those of most events, in bytes.
const usualStrings = 256

var readers = sync.Pool{New: func() any { return new(Reader) }}

// NewReader begins to read text, which must stay as it is. The caller closes it.
func NewReader(text []byte) *Reader {
	r := readers.Get().(*Reader)
	r.text, r.buffer, r.err, r.base, r.Wrong = text, *bytes.NewBuffer(text), nil, 0, false
	r.decoder.Reset(&r.buffer, lenient)
	return r
}

// Close ends the reading, and tells whether that was JSON, as far as it was read.
func (r *Reader) Close() error {
	err := r.err
	r.text, r.Name, r.buffer = nil, nil, bytes.Buffer{}
	r.kept.Reset()
	r.decoder.Reset(&r.buffer)
	readers.Put(r)
	return err
}

// Kind tells what comes next, as [jsontext.Decoder.PeekKind] does.
func (r *Reader) Kind() jsontext.Kind {
	if r.err != nil {
		return 0
	}
	return r.decoder.PeekKind()
}

var errNoObject = errors.New("not an object")

// Enter reads the begin of an object.
func (r *Reader) Enter() {
	switch r.Kind() {
	case '{':
		_, r.err = r.decoder.ReadToken()
	default:
		if r.Value(); r.err == nil {
			r.err = errNoObject
		}
	}
}

// Next goes to the next member, whose value has to be read then, and reports whether there is one in this object.
func (r *Reader) Next() bool {
	if r.err == nil && r.decoder.PeekKind() == '}' {
		_, r.err = r.decoder.ReadToken()
		return false
	}
	at := r.value()
	if r.err != nil {
		return false
	}
	r.start, r.Name = at.start, r.in(at)[1:at.end-at.start-1]
	if bytes.IndexByte(r.Name, '\\') >= 0 { // "app\u005fmetadata" is app_metadata
		r.Name, _ = jsontext.AppendUnquote(nil, r.in(at)) // it only fails for invalid UTF-8
	}
	return true
}

// End notes a fault if anything follows.
func (r *Reader) End() {
	if r.err == nil {
		if _, r.err = r.decoder.ReadToken(); r.err == io.EOF {
			r.err = nil
		}
	}
}

// Value reads any value, as it stands there.
func (r *Reader) Value() []byte { return r.in(r.value()) }

// value reads one, and says where it stands.
func (r *Reader) value() span {
	if r.err != nil {
		return span{}
	}
	var value jsontext.Value
	value, r.err = r.decoder.ReadValue()
	end := r.offset()
	return span{end - len(value), end}
}

func (r *Reader) offset() int { return int(r.decoder.InputOffset()) - r.base }

func (r *Reader) in(at span) []byte { return r.text[r.base+at.start : r.base+at.end : r.base+at.end] }

// Text reads a string, or null for "".
func (r *Reader) Text() string {
	raw := r.Value()
	switch jsontext.Value(raw).Kind() {
	case '"':
		r.scratch, _ = jsontext.AppendUnquote(r.scratch[:0], raw) // it only fails for invalid UTF-8, which it then has replaced
		return r.keep(r.scratch)
	case 'n':
	default:
		r.Wrong = true
	}
	return ""
}

func (r *Reader) keep(part []byte) string {
	from := r.kept.Len()
	if r.kept.Cap() == 0 {
		r.kept.Grow(usualStrings)
	}
	r.kept.Write(part)
	return r.kept.String()[from:]
}

// Loose reads a string, and anything else for "".
func (r *Reader) Loose() Text {
	wrong := r.Wrong
	text := r.Text()
	r.Wrong = wrong
	return Text(text)
}

// Int reads a whole number, or null for 0.
func (r *Reader) Int() (n int64) {
	raw := r.Value()
	var err error
	if jsontext.Value(raw).Kind() != 'n' {
		n, err = strconv.ParseInt(string(raw), 10, 64) // of what is JSON it only takes such a number
	}
	r.Wrong = r.Wrong || err != nil
	return n
}

// Bool reads true or false, or null for false.
func (r *Reader) Bool() bool {
	kind := jsontext.Value(r.Value()).Kind()
	r.Wrong = r.Wrong || kind != 't' && kind != 'f' && kind != 'n'
	return kind == 't'
}
