package targets

import (
	"io"
	"os"

	"github.com/foundation-plr/pipeline/internal/console"
)

// screen is where everything is printed: names and texts come from elsewhere, so what
// a terminal or the log of a job would obey is shown and not obeyed.
func screen() io.Writer { return console.Printer(os.Stdout, os.Getenv) }

// Visible makes an error of a target fit to be printed by mage, which prints it as it
// is.
func Visible(err error) error { return console.VisibleError(err) }
