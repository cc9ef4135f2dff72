# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Pure logic: text and values in, values out.

Standard library and relative imports only, Python 3.9 and later. Nothing here
opens a file, starts a process or asks for the time; a test walks the imports.
"""
