# Draws a bar chart, as SVG, of lines "name value"; width is given.
{ name[NR] = $1; value[NR] = $2; if (NR == 1 || $2 > max) max = $2 }
END {
	if (NR == 0 || max <= 0) { print "nothing to draw" > "/dev/stderr"; exit 1 }
	printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" font-size=\"12\">\n", width, 30 * NR + 10
	for (i = 1; i <= NR; i++) {
		y = 30 * i - 20
		long = (value[i] > 0 ? value[i] : 0) / max * (width - 150)
		printf "<text x=\"80\" y=\"%d\" text-anchor=\"end\">%s</text>\n", y + 14, name[i]
		printf "<rect x=\"90\" y=\"%d\" width=\"%.1f\" height=\"20\" fill=\"#006bb2\"/>\n", y, long
		printf "<text x=\"%.1f\" y=\"%d\">%s</text>\n", long + 95, y + 14, value[i]
	}
	print "</svg>"
}
