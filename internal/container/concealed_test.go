package container

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// What programs find anywhere in a file is noticed anywhere, however it is read.
func TestConcealed(t *testing.T) {
	prose := strings.Repeat("prose of %PDF-1.7 files, PK\x05 and ", 4_000)
	for _, c := range []struct {
		text string
		why  string
	}{
		{prose, ""},
		{prose + "%PDF-1.7", ""},
		{prose + "%PDF-1.7\n1 0 obj", "PDF"},
		{prose + "%PDF-%PDF-2.0\r\n", "PDF"},
		{"#!/bin/sh\n" + prose + "PK\x05\x06" + prose, "zip"},
	} {
		for name, r := range map[string]io.Reader{"whole": strings.NewReader(c.text), "byte by byte": iotest.OneByteReader(strings.NewReader(c.text))} {
			got, err := io.ReadAll(&concealed{r: r, name: "x"})
			var refused *Error
			switch {
			case c.why == "" && (err != nil || string(got) != c.text):
				t.Errorf("%.20q…, %s: %v", c.text, name, err)
			case c.why != "" && (!errors.As(err, &refused) || !strings.Contains(refused.Why, c.why)):
				t.Errorf("…%q, %s: %v", c.text[len(c.text)-10:], name, err)
			}
		}
	}
}
