package container

import "io"

func (w *walker) text(name string, r io.Reader, depth int) error { return w.Text(name, r) }
